/**
 * For tests: the real init as PID 1 of fresh namespaces, in a root of busybox, its channel a unix
 * socket. What is left when the test ends is killed with its first process: the kernel ends a pid
 * namespace, and with it its mounts, when its PID 1 ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { pollUntil, startDeadline } from '#base'
import { type Agent, connectAgent } from './agent.ts'

const INIT = join(import.meta.dirname, '../../../build/init/init')
const START_MS = 10_000
const busyboxPlaces = ['/usr/bin/busybox', '/bin/busybox']
const commands =
  'sh cat sleep echo id pwd kill head wc stty nc dd env ls stat sha256sum seq mkdir tee true date'

/** A fresh /dev, as a container has it; then init, in place of the shell and so with its PID 1. */
const PREPARE = `
set -e
mount --make-rprivate /
ip link set lo up
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=755 dev "$ROOT/dev"
mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,gid=5 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd/1 "$ROOT/dev/stdout"
for name in null zero urandom; do : > "$ROOT/dev/$name"; mount --bind "/dev/$name" "$ROOT/dev/$name"; done
exec chroot "$ROOT" /init --container --channel=unix:/agent.sock
`

export interface TrialMachine {
  readonly root: string
  readonly agent: Agent
  /** A new host takes over. */
  reconnect(): Promise<Agent>
  /** The exit code of the container's first process. */
  exited(): Promise<number | null>
  /** PID 1 as the host sees it. */
  readonly pid: number
}

export async function startTrialMachine(t: TestContext): Promise<TrialMachine> {
  if (!existsSync(INIT)) throw new Error('build/init/init is missing: npm run setup')
  const root = mkdtempSync(join(tmpdir(), 'godwit-init-'))
  let child: ChildProcess | undefined
  t.after(async () => {
    if (child !== undefined) await endChild(child)
    rmSync(root, { recursive: true, force: true })
  })
  chmodSync(root, 0o755)
  makeRoot(root)
  const namespaces = ['--pid', '--fork', '--kill-child', '--mount', '--uts', '--ipc', '--net']
  child = spawn('unshare', [...namespaces, 'sh', '-c', PREPARE], {
    env: { ...process.env, ROOT: root },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exit = once(child, 'exit') as Promise<[number | null]>
  exit.catch(() => undefined)
  const reconnect = async () => {
    const agent = await connectTo(join(root, 'agent.sock'))
    t.after(() => agent.close())
    return agent
  }
  const agent = await reconnect()
  const pid = onlyChildOf(child.pid ?? 0)
  return { root, agent, reconnect, pid, exited: async () => (await exit)[0] }
}

function makeRoot(root: string): void {
  for (const folder of ['bin', 'dev', 'proc', 'etc', 'tmp', 'root']) mkdirSync(join(root, folder))
  const busybox = busyboxPlaces.find((path) => existsSync(path))
  if (busybox === undefined) throw new Error('busybox is missing: npm run setup')
  copyFileSync(busybox, join(root, 'bin/busybox'))
  copyFileSync(INIT, join(root, 'init'))
  for (const command of commands.split(' ')) symlinkSync('busybox', join(root, 'bin', command))
}

async function connectTo(path: string): Promise<Agent> {
  using deadline = startDeadline('the trial machine', START_MS)
  const socket = await pollUntil('the trial machine to listen', () => tryConnect(path), {
    deadlineMs: START_MS,
  })
  return connectAgent(socket, { signal: deadline.signal })
}

/** Nothing while nobody listens: init binds the socket, which names it, a moment before that. */
async function tryConnect(path: string): Promise<Socket | undefined> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error
    return undefined
  }
}

function onlyChildOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** The descriptors that init has open. */
export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

export function residentBytesOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) * 1024
}
