// The Exotel simulator as a separate process, for the development stack and for containers.
import { z } from 'zod'
import { runMain, stopSignal } from '../../platform/process.ts'
import { startSimulator } from './server.ts'

const settings = z.object({
  SIMULATOR_PORT: z.coerce.number(),
  SIMULATOR_API_URL: z.string(),
  /** For containers, which reach it by names: the address to listen on, and where its links lead. */
  SIMULATOR_HOST: z.string().optional(),
  SIMULATOR_PUBLIC_URL: z.string().optional(),
  SIMULATOR_PRESIGNED_URL: z.string().optional(),
  EXOTEL_WEBHOOK_SECRET: z.string(),
  EXOTEL_WEBHOOK_BASIC: z.string(),
  EXOTEL_ACCOUNT_SID: z.string(),
  EXOTEL_API_KEY: z.string(),
  EXOTEL_API_TOKEN: z.string(),
  RECORDING_WAIT_SCALE: z.coerce.number(),
})

runMain(async () => {
  const env = settings.parse(process.env)
  const { SIMULATOR_PUBLIC_URL: publicUrl } = env
  const simulator = await startSimulator({
    apiUrl: () => env.SIMULATOR_API_URL,
    secret: env.EXOTEL_WEBHOOK_SECRET.split(',')[0]!,
    basic: env.EXOTEL_WEBHOOK_BASIC,
    accountSid: env.EXOTEL_ACCOUNT_SID,
    apiKey: env.EXOTEL_API_KEY,
    apiToken: env.EXOTEL_API_TOKEN,
    waitScale: env.RECORDING_WAIT_SCALE,
    port: env.SIMULATOR_PORT,
    host: env.SIMULATOR_HOST,
    presignedUrl: env.SIMULATOR_PRESIGNED_URL,
    ...(publicUrl !== undefined && { publicUrl: () => publicUrl }),
  })
  console.log(`Exotel simulator is listening at ${simulator.url}`)
  await stopSignal()
  await simulator.close()
  process.exit(0)
})
