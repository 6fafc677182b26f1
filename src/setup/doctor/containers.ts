import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLine } from '../command.ts'
import { findCommand } from '../packages.ts'
import type { Probe } from './probe.ts'

const MARKER = 'godwit-trial-container-is-up'

/** Runs one container of one static binary, with limits, under whatever cgroup version is here. */
export const containers: Probe = {
  name: 'containers (runc)',
  required: false,
  needsRoot: true,
  deadlineMs: 15_000,
  async examine({ run, scratchFolder }) {
    const version = /runc version (\S+)/.exec((await run('runc', ['--version'])).stdout)?.[1]
    await writeBundle(scratchFolder)
    const id = `godwit-doctor-${process.pid}`
    const state = ['--root', join(scratchFolder, 'state')]
    try {
      const ran = await run('runc', [...state, 'run', '--bundle', scratchFolder, id])
      if (ran.stdout.includes(MARKER)) return { state: 'ok', detail: `runc ${version} works` }
      return {
        state: 'missing',
        detail: lastLine(ran.stderr) ?? 'the container said nothing',
        consequence: 'no container machines: only virtual machines can run here',
        fix: 'run as root on the machine itself, with cgroups mounted',
      }
    } finally {
      await run('runc', [...state, 'delete', '--force', id])
    }
  },
}

async function writeBundle(folder: string): Promise<void> {
  const rootfs = join(folder, 'rootfs')
  await mkdir(join(rootfs, 'proc'), { recursive: true })
  await copyFile(findCommand('busybox') ?? '/bin/busybox', join(rootfs, 'busybox'))
  await writeFile(join(folder, 'config.json'), JSON.stringify(bundleConfig()))
}

/** Source: OCI runtime specification 1.0, config.md and config-linux.md. */
function bundleConfig() {
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      cwd: '/',
      args: ['/busybox', 'echo', MARKER],
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      cgroupsPath: `/godwit-doctor-${process.pid}`,
      resources: { memory: { limit: 64 << 20 }, pids: { limit: 32 } },
      namespaces: ['pid', 'mount', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    },
  }
}
