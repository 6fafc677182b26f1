import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** mkfs.xfs refuses less than 300 MB. The file is sparse: it costs a few MB for a second. */
const XFS_IMAGE_MIB = 320

/** FICLONE on the file system that machines live on, else on an XFS within a file of it. */
export const copyOnWrite: Probe = {
  name: 'copy-on-write files',
  required: false,
  needsRoot: true,
  deadlineMs: 20_000,
  async examine({ run, runInNamespaces, scratchFolder, stateFolder }) {
    const original = join(stateFolder, `.doctor-${process.pid}`)
    const clone = `${original}-clone`
    try {
      await writeFile(original, 'godwit')
      const { exitCode } = await run('cp', ['--reflink=always', original, clone])
      if (exitCode === 0) return { state: 'ok', detail: `reflinks work in ${stateFolder}` }
    } finally {
      await run('rm', ['-f', original, clone])
    }
    const onLoop = await runInNamespaces(
      `set -e
      cd "$1"
      truncate -s ${XFS_IMAGE_MIB}M pool.img
      mkfs.xfs -q -m reflink=1 pool.img
      mkdir pool
      mount -o loop pool.img pool
      echo godwit >pool/original
      cp --reflink=always pool/original pool/clone
      umount pool`,
      [scratchFolder],
    )
    if (onLoop.exitCode === 0) {
      return {
        state: 'degraded',
        detail: 'no reflinks on this file system; XFS within a file has them',
        consequence: 'volumes and root file systems live in one large file, with a little more I/O',
        fix: 'put the state folder on XFS or btrfs',
      }
    }
    return {
      state: 'missing',
      detail: lastLine(onLoop.stderr) ?? `exit code ${onLoop.exitCode}`,
      consequence: 'each machine copies its whole image, which takes time and disk',
      fix: 'put the state folder on XFS or btrfs, or modprobe loop xfs',
    }
  },
}
