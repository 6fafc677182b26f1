import type { Readable } from 'node:stream'
import { errorCode } from '#base'
import type { Agent, GuestProcess } from '#guest'
import { resolveUser } from '#image'
import { stopSignalOf } from '#machine'
import type { SshProcess, SshTarget } from '#ssh'

const FILE_BYTES_MAX = 1 << 20
/** Names as which every image lets in: there need not be an account. */
const ROOTS: readonly string[] = ['root', 'fly']
const SIGNAL_NAMES: Readonly<Record<number, string>> = {
  ...{ 1: 'HUP', 2: 'INT', 3: 'QUIT', 4: 'ILL', 6: 'ABRT', 8: 'FPE', 9: 'KILL', 10: 'USR1' },
  ...{ 11: 'SEGV', 12: 'USR2', 13: 'PIPE', 14: 'ALRM', 15: 'TERM' },
}

/** A machine as its SSH server needs it: all of it goes through the agent of its init. */
export async function guestTarget(agent: Agent, user: string): Promise<SshTarget> {
  const { home, ...ids } = await accountOf(agent, user)
  const env = { HOME: home, USER: user, LOGNAME: user }
  return {
    async exec({ argv, env: given, tty }) {
      const config = { argv, user: ids, env: { ...env, ...given } }
      return sshProcess(await agent.exec({ ...config, ...(tty && { tty }) }))
    },
    sftp: async () => sshProcess(await agent.sftp()),
    dial: (address, port) => agent.dial(address === 'localhost' ? '127.0.0.1' : address, port),
  }
}

/** @throws ImageError image.user_unknown */
async function accountOf(agent: Agent, user: string) {
  if (ROOTS.includes(user)) return { uid: 0, gid: 0, groups: [], home: '/root' }
  const [passwd, group] = [await textOf(agent, '/etc/passwd'), await textOf(agent, '/etc/group')]
  const { uid, gid, groups, home } = resolveUser(user, { passwd, group })
  return { uid, gid, groups: [...groups], home }
}

async function textOf(agent: Agent, path: string): Promise<string> {
  try {
    return await readText(await agent.getFile(path))
  } catch (error) {
    if (errorCode(error) === 'guest.not_found') return ''
    throw error
  }
}

async function readText(file: Readable): Promise<string> {
  let text = ''
  for await (const part of file) {
    text += String(part)
    if (text.length > FILE_BYTES_MAX) break
  }
  return text
}

function sshProcess(process: GuestProcess): SshProcess {
  const { stdin, stdout, stderr } = process
  return {
    ...{ stdin, stdout, stderr },
    ended: process.ended.then((ending) => {
      if (ending.kind === 'exited') return { code: ending.code }
      const signal = SIGNAL_NAMES[ending.signal]
      return signal === undefined ? { code: 128 + ending.signal } : { signal }
    }),
    resize: (size) => process.resize(size),
    signal: (name) => {
      // A name that no machine knows, or a process that has just ended: there is nobody to tell.
      void Promise.resolve()
        .then(() => process.signal(stopSignalOf(name)))
        .catch(() => undefined)
    },
    abandon: () => process.abandon(),
  }
}
