import { fileURLToPath } from 'node:url'
import type { HostDaemonConfig } from './host-daemon.ts'

const node = (file: string): [string, string, string] => [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  fileURLToPath(new URL(file, import.meta.url)),
]

/** Command line of a host's network daemon, for a world without flyd: see host-daemon.ts. */
export const trialHostDaemon = (config: HostDaemonConfig): [string, ...string[]] => [
  ...node('host-daemon.ts'),
  JSON.stringify(config),
]

/** Command line of a program that puts frames on an interface as they are: what root in a machine can do. */
export const trialFrameSender = (
  device: string,
  frames: readonly Buffer[],
): [string, ...string[]] => [
  ...node('send-frames.ts'),
  device,
  ...frames.map((frame) => frame.toString('hex')),
]
