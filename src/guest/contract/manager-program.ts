/** For tests: a process that boots a machine, says so, and waits to be killed. SUBJECT STATE_DIR SPEC SCRIPT */
import { text } from 'node:stream/consumers'
import { connectAgent } from '../agent/agent.ts'
import { withDevices } from '../guest-devices.ts'
import type { GuestSpec } from '../guest-spec.ts'
import type { Runtime } from '../runtime.ts'
import { scriptConfig } from './script-config.ts'

const [subjectPath = '', stateDir = '', specJson = '', script = ''] = process.argv.slice(2)
const { openRuntime } = (await import(subjectPath)) as {
  openRuntime(stateDir: string): Promise<Runtime>
}
const spec = JSON.parse(specJson) as GuestSpec
const runtime = await openRuntime(stateDir)
const guest = await runtime.boot(spec)
const agent = await connectAgent(await guest.openChannel())
await agent.configure(withDevices(guest, scriptConfig(spec, script)))
await agent.start()
process.stdout.write('running\n')
await text(process.stdin)
