// `npm run doctor`: reads the settings, tests every connection as API and worker use it, and says in words what is wrong and which
// setting to change.
import { ignoreOutputErrors } from '../platform/output.ts'
import { stopSignal } from '../platform/process.ts'
import { runDoctor } from './doctor/run-doctor.ts'
import { findSettings } from './doctor/settings-source.ts'

ignoreOutputErrors()
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true' // the check of Node reports it
const interruption = new AbortController()
void stopSignal().then(() => interruption.abort())
process.exitCode = await runDoctor(process.argv.slice(2), {
  findSettings,
  print: (line) => console.log(line),
  printError: (line) => console.error(line),
  interrupted: interruption.signal,
})
process.exit()
