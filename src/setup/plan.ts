/**
 * What set-up would do on a machine: a pure function of facts, so that every kind of machine can
 * be tested on one. It refuses before anything was changed.
 */
import { SetupError } from './errors.ts'
import { type AptPackage, type Architecture, neededPackages, type Purpose } from './packages.ts'

export interface MachineFacts {
  /** `uname -m`. */
  readonly architecture: string
  /** The text of os-release(5); empty when the machine has none. */
  readonly osRelease: string
  readonly userId: number
  readonly hasApt: boolean
  /** `dpkg-query`'s status of each package it knows, such as `install ok installed`. */
  readonly dpkgStatus: ReadonlyMap<string, string>
  /** Names of the needed packages whose proof was found. */
  readonly proven: ReadonlySet<string>
}

export interface Plan {
  readonly architecture: Architecture
  /** Not there, or there only in part. */
  readonly install: readonly AptPackage[]
  /** dpkg holds these for installed, yet their proof is gone. */
  readonly reinstall: readonly AptPackage[]
}

/**
 * @throws SetupError setup.platform_unsupported; setup.packages_by_hand when something is missing
 * and there is no apt; setup.root_needed when something is missing and we are not root.
 */
export function planSetup(facts: MachineFacts, purpose: Purpose): Plan {
  const architecture = parseArchitecture(facts.architecture)
  const install: AptPackage[] = []
  const reinstall: AptPackage[] = []
  for (const needed of neededPackages(architecture, purpose)) {
    const status = facts.dpkgStatus.get(needed.name)
    const usable = facts.proven.has(needed.name) && !isHalfDone(status ?? '')
    if (!usable) (status === INSTALLED ? reinstall : install).push(needed)
  }
  const missing = [...install, ...reinstall]
  if (missing.length > 0) refuseUnlessInstallable(facts, missing)
  return { architecture, install, reinstall }
}

/** @throws SetupError setup.platform_unsupported */
export function parseArchitecture(machine: string): Architecture {
  if (machine === 'x86_64' || machine === 'aarch64') return machine
  throw new SetupError('setup.platform_unsupported', {
    what: 'godwit does not run on this kind of processor',
    values: { found: machine },
    fix: 'use a machine with x86_64 or aarch64',
  })
}

/** ID and ID_LIKE of os-release(5) name Debian or Ubuntu. */
export function isDebianLike(osRelease: string): boolean {
  const { ID = '', ID_LIKE = '' } = parseOsRelease(osRelease)
  return [ID, ...ID_LIKE.split(/\s+/)].some((id) => id === 'debian' || id === 'ubuntu')
}

/** KEY=value lines with shell-like quotes. Source: os-release(5). */
export function parseOsRelease(text: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const match of text.matchAll(/^[ \t]*([A-Z][A-Z0-9_]*)=(.*?)[ \t\r]*$/gm)) {
    const [, key = '', raw = ''] = match
    const quoted = /^(["'])(.*)\1$/.exec(raw)?.[2] ?? raw
    found[key] = quoted.replace(/\\(["'$`\\])/g, '$1')
  }
  return found
}

const INSTALLED = 'install ok installed'

/** Unpacked or configured in part: the third word of dpkg's status. Source: dpkg(1). */
function isHalfDone(status: string): boolean {
  return /(unpacked|half-configured|half-installed|triggers-awaited|triggers-pending)$/.test(status)
}

function refuseUnlessInstallable(facts: MachineFacts, missing: readonly AptPackage[]): void {
  const list = missing.map(({ name, why }) => `  ${name.padEnd(16)} ${why}`).join('\n')
  const names = missing.map(({ name }) => name).join(' ')
  const command = `apt-get install --no-install-recommends ${names}`
  if (!isDebianLike(facts.osRelease) || !facts.hasApt) {
    const system = parseOsRelease(facts.osRelease)['PRETTY_NAME'] ?? 'unknown'
    throw new SetupError('setup.packages_by_hand', {
      what: 'packages are missing, and set-up installs packages only on Debian and its children',
      values: { system, apt: facts.hasApt, missing: missing.length },
      fix: `install what these Debian packages hold, then run the same command again:\n${list}\nOn Debian the command is: ${command}`,
    })
  }
  if (facts.userId !== 0) {
    throw new SetupError('setup.root_needed', {
      what: 'packages are missing, and only root may install them',
      values: { userId: facts.userId, missing: missing.length },
      fix: `run the command below, then the same command as before:\n${list}\n  sudo ${command}`,
    })
  }
}
