import { type Agent, type Guest, withDevices } from '#guest'
import type { MachinePlan } from './plan-machine.ts'

export interface StartOptions {
  readonly signal?: AbortSignal | undefined
  /** Its disks are there and its command does not run yet. */
  readonly onConfigured?: () => void
}

/**
 * Tells the init of a booted machine what it is, writes its files and starts its command. Repeated on a
 * machine whose command runs it changes nothing.
 *
 * @throws AgentError, whose guest.not_found says that the command is not in the image.
 */
export async function startMachine(
  { agent, guest }: { readonly agent: Agent; readonly guest: Pick<Guest, 'deviceOf'> },
  { config, files }: Pick<MachinePlan, 'config' | 'files'>,
  { signal, onConfigured }: StartOptions = {},
): Promise<void> {
  const { phase } = agent.entrypoint
  if (phase === 'starting' || phase === 'running') return
  await agent.configure(withDevices(guest, config), { signal })
  for (const { path, content, mode, owner } of files) {
    await agent.putFile([Buffer.from(content)], {
      ...{ path, signal },
      ...(mode === undefined ? {} : { mode }),
      ...(owner === undefined ? {} : { owner }),
    })
  }
  onConfigured?.()
  await agent.start({ signal })
}
