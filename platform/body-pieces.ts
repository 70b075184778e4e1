// Bounds the number of pieces in which the body of a request arrives.
import type { IncomingMessage } from 'node:http'

/**
 * A body may have this many pieces, and one more for each `BYTES_PER_PIECE`. A client that writes each part of a multipart body as
 * three chunks may send 40 parts; a body without chunks comes in a piece for each TCP segment at most, which has 536 bytes or more.
 */
const GRANTED_PIECES = 128
const BYTES_PER_PIECE = 512

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

export interface BodyEvents {
  /** The whole body has arrived, read or not. */
  onEnd: () => void
  /**
   * Closes the connection. What Node still parses of it is dropped, the end of the body included, so that nobody takes the part that
   * was read for the whole body.
   */
  onTooMany: () => void
}

/**
 * Node makes a Buffer of about 400 bytes for each chunk, also for a chunk of one byte, keeps it until it is read, and counts only the
 * bytes inside. Node's HTTP parser gives each piece to `push`, so that pieces are counted here whether or not anybody reads them.
 * That is no documented behavior: `requireBoundedBodies` checks it when the process starts. Once the response is finished, Node no
 * longer does so: then `closeBeforeBodyEnds` ends the connection.
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
