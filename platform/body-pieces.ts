// Bounds the number of pieces in which the body of a request arrives.
import type { IncomingMessage } from 'node:http'

/**
 * A body may have this many pieces, and one more for each `BYTES_PER_PIECE`. A client that writes each part of a multipart body as
 * three chunks may send 40 parts. A body without chunks has at most one piece for each TCP segment, and a segment has 536 bytes or more.
 */
const GRANTED_PIECES = 128
const BYTES_PER_PIECE = 512

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

export interface BodyEvents {
  /** The whole body has arrived, whether or not it was read. */
  onEnd: () => void
  /**
   * Closes the connection. Everything that Node still parses is ignored, including the end of the body. Otherwise the part that was
   * read would look like the whole body.
   */
  onTooMany: () => void
}

/**
 * Limits the number of pieces of a request body. Node allocates a Buffer of about 400 bytes for each chunk, even for a chunk of one
 * byte, keeps it until it is read, and counts only the bytes inside. Node's HTTP parser passes each piece to `push`, so pieces are
 * counted here whether or not the body is read. This behavior is not documented: `requireBoundedBodies` checks it when the process
 * starts. Node stops calling `push` once the response is finished; `closeBeforeBodyEnds` handles that case.
 */
export function watchBody(request: IncomingMessage, { onEnd, onTooMany }: BodyEvents): void {
  const push = request.push.bind(request)
  let pieces = 0
  let bytes = 0
  request.push = (piece: Buffer | null) => {
    if (request.socket.destroyed) return false
    if (piece === null) {
      onEnd()
      return push(null)
    }
    pieces += 1
    bytes += piece.length
    if (pieces <= GRANTED_PIECES + bytes / BYTES_PER_PIECE) return push(piece)
    onTooMany()
    return false
  }
}
