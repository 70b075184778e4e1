// Writes the results of independent decoders for each file of the corpus: `node --import tsx tests/corpus/expect.ts`.
// Requires ffmpeg with ffprobe, and lame for free format, which ffmpeg does not decode.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Recipe, Truth } from './recipe.ts'
import { allRecipes } from './recipes.ts'

export interface Expected {
  truth: Truth
  /** Decoded samples ÷ sample rate. Absent if no decoder can decode the file. */
  seconds?: number
  codec?: string
  sampleRate?: number
  channels?: number
}

const work = mkdtempSync(join(tmpdir(), 'corpus-'))
const path = join(work, 'file')

function run(command: string, ...options: string[]): Buffer {
  try {
    return execFileSync(command, options, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 30 })
  } catch {
    return Buffer.alloc(0)
  }
}

function decode(file: Buffer): Omit<Expected, 'truth'> | undefined {
  writeFileSync(path, file)
  const probed = run(
    'ffprobe',
    '-v',
    'error',
    '-select_streams',
    'a:0',
    '-show_entries',
    'stream=codec_name,sample_rate,channels',
    '-of',
    'json',
    path,
  )
  const [stream] = probed.length > 0 ? ((JSON.parse(probed.toString()) as { streams?: Record<string, string>[] }).streams ?? []) : []
  const isFree = file.length > 4 && file[0] === 0xff && file[2]! >> 4 === 0
  if (isFree) return decodeFree()
  if (!stream) return undefined
  const [sampleRate, channels] = [Number(stream.sample_rate), Number(stream.channels)]
  const samples =
    run('ffmpeg', '-nostdin', '-v', 'error', '-i', path, '-map', '0:a:0', '-ar', String(sampleRate), '-ac', '1', '-f', 's16le', '-')
      .length / 2
  return samples === 0 ? undefined : { seconds: samples / sampleRate, codec: stream.codec_name!, sampleRate, channels }
}

function decodeFree(): Omit<Expected, 'truth'> | undefined {
  const wav = run('lame', '--quiet', '--mp3input', '--decode', path, '-')
  if (wav.length < 44) return undefined
  const [channels, sampleRate] = [wav.readUInt16LE(22), wav.readUInt32LE(24)]
  return { seconds: (wav.length - 44) / 2 / channels / sampleRate, codec: 'mp3', sampleRate, channels }
}

function expected({ truth, file, decoded = [file] }: Recipe): Expected {
  if (truth === 'not audio' || truth === 'other') return { truth }
  const parts = decoded.map(decode)
  if (parts.includes(undefined)) return { truth }
  const seconds = parts.reduce((sum, part) => sum + part!.seconds!, 0)
  return { truth, ...parts[0], seconds: Math.round(seconds * 1000) / 1000 }
}

const all = Object.fromEntries(allRecipes().map((recipe) => [recipe.name, expected(recipe)]))
rmSync(work, { recursive: true })
writeFileSync(
  new URL('./expected.json', import.meta.url),
  `${JSON.stringify(all, null, 1).replaceAll(/\n  +/g, ' ').replaceAll('\n }', ' }')}\n`,
)
console.log(`expected.json has the values of ${Object.keys(all).length} files`)
