import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

export const fuse: Probe = {
  name: 'FUSE',
  required: false,
  needsRoot: true,
  deadlineMs: 5_000,
  async examine({ runInNamespaces, scratchFolder }) {
    // Nobody answers the requests: a mount that the kernel accepts is all we ask. It ends with
    // the file descriptor.
    const { exitCode, stderr } = await runInNamespaces(
      `exec 3<>/dev/fuse &&
      mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 doctor "$1"`,
      [scratchFolder],
    )
    if (exitCode === 0) return { state: 'ok', detail: 'the kernel accepts a mount' }
    return {
      state: 'missing',
      detail: lastLine(stderr) ?? `exit code ${exitCode}`,
      consequence: 'no replicated SQLite files, and no volumes that are cloned while in use',
      fix: 'modprobe fuse; in a container: --device /dev/fuse',
    }
  },
}
