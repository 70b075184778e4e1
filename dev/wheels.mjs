// Programs in wheels, which are zip files, fetched by Node alone: for machines without Python or Go.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { get, listWheels } from './package-index.mjs'
import { root, step } from './steps.mjs'

const PROGRESS_MS = 5000
const EXECUTABLE = 0o111
const PLATFORMS = {
  'linux x64': /manylinux\w*x86_64/,
  'linux arm64': /manylinux\w*aarch64/,
  'darwin x64': /macosx\w*x86_64/,
  'darwin arm64': /macosx\w*(arm64|universal2)/,
}

/**
 * Downloads the wheels that a requirements file pins for this platform and unpacks them.
 * @param requirements a file in dev/, in pip's format, with hashes
 * @param place says where an entry of a wheel goes, relative to the folder; undefined: nowhere
 * @throws if the index does not have a wheel, or if it is not the pinned one
 */
export async function unpackWheels(requirements, folder, place) {
  const text = readFileSync(resolve(root, 'dev', requirements), 'utf8').replaceAll('\\\n', ' ')
  for (const [, project, version, rest] of text.matchAll(/^([\w-]+)==(\S+)(.*)$/gm)) {
    const hashes = [...rest.matchAll(/--hash=sha256:(\w+)/g)].map(([, hash]) => hash)
    await step(`downloading ${project} ${version}`, async (report) => {
      const wheel = join(folder, `${project}.whl`)
      mkdirSync(folder, { recursive: true })
      await download({ project, version, hashes, requirements }, wheel, report)
      await unpack(wheel, folder, place)
      rmSync(wheel)
    })
  }
}

async function download({ project, version, hashes, requirements }, path, report) {
  const platform = PLATFORMS[`${process.platform} ${process.arch}`]
  const prefix = `${project.replaceAll('-', '_')}-${version}-`
  const wheels = await listWheels(project)
  const wheel = wheels.find(({ filename }) => filename.startsWith(prefix) && platform?.test(filename))
  if (!wheel) throw new Error(`the package index has no ${project} ${version} for ${process.platform} ${process.arch}`)
  const response = await get(wheel.url)
  const totalBytes = Number(response.headers.get('content-length'))
  if (totalBytes) report(megabytes(totalBytes))
  await pipeline(Readable.fromWeb(response.body), progress(totalBytes, report), createWriteStream(path))
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  if (!hashes.includes(hash.digest('hex')))
    throw new Error(`${wheel.filename} has another SHA-256 than ${requirements} pins, so it is not used`)
}

/** Passes the bytes on, and reports every few seconds how many there are. */
function progress(totalBytes, report) {
  let bytes = 0
  let reportedAt = Date.now()
  return new Transform({
    transform(chunk, _encoding, done) {
      bytes += chunk.length
      if (Date.now() - reportedAt >= PROGRESS_MS) {
        reportedAt = Date.now()
        report(totalBytes ? `${megabytes(bytes)} of ${megabytes(totalBytes)}` : megabytes(bytes))
      }
      done(undefined, chunk)
    },
  })
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

async function unpack(wheel, folder, place) {
  const { default: yauzl } = await import('yauzl') // refuses names that lead out of the folder
  const zip = await yauzl.openPromise(wheel)
  try {
    for await (const entry of zip.eachEntry()) {
      const target = !entry.fileName.endsWith('/') && place(entry.fileName)
      if (!target) continue
      const path = join(folder, target)
      mkdirSync(dirname(path), { recursive: true })
      const mode = (entry.externalFileAttributes >>> 16) & EXECUTABLE ? 0o755 : 0o644
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(path, { mode }))
    }
  } finally {
    zip.close()
  }
}
