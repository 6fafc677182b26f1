import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import packages from './packages.json' with { type: 'json' }

/** The machines that Godwit runs on, as `uname -m` names them. */
export type Architecture = 'x86_64' | 'aarch64'

/** A Debian package that this code base calls, and how to see that it is there. */
export interface AptPackage {
  readonly name: string
  /** What the project does with it: shown to whoever is asked to install it. */
  readonly why: string
  /** A command's name, or the absolute path of a file. */
  readonly proof: string
  /** Daemons that its installation would start and enable. Set-up keeps them off. */
  readonly services?: readonly string[]
  /** Needed on this one alone; on all without it. */
  readonly architecture?: string
  /** Needed by tests and benchmarks alone, not to run the platform. */
  readonly for?: string
}

/** Debian's names for the architecture. */
export const debianNames = {
  x86_64: { architecture: 'amd64', qemuCommand: 'qemu-system-x86_64' },
  aarch64: { architecture: 'arm64', qemuCommand: 'qemu-system-aarch64' },
} as const satisfies Record<Architecture, object>

/** What a machine is made ready for: to run the platform, or to run its tests and benchmarks as well. */
export type Purpose = 'running' | 'tests'

/**
 * Everything that must be installed, no more than the code calls. The list is JSON because
 * bin/bootstrap.mjs shows it, too, on machines where no TypeScript runs yet.
 */
export function neededPackages(
  architecture: Architecture,
  purpose: Purpose,
): readonly AptPackage[] {
  const listed: readonly AptPackage[] = packages
  return listed.filter(
    (one) =>
      (one.architecture ?? architecture) === architecture &&
      (one.for === undefined || one.for === purpose),
  )
}

/** An unprivileged user's PATH often lacks the sbin folders, where half of the above lives. */
const extraFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin']

/** The absolute path of a command; undefined when it is nowhere. */
export function findCommand(command: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':').filter(Boolean), ...extraFolders]
  return folders
    .map((folder) => join(folder, command))
    .find((path) => isThere(path, constants.X_OK))
}

/** Where a package's proof is on this machine; undefined when it is missing. */
export function findProof({ proof }: AptPackage): string | undefined {
  if (!proof.startsWith('/')) return findCommand(proof)
  return isThere(proof, constants.R_OK) ? proof : undefined
}

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false // whatever the reason, we cannot use it
  }
}
