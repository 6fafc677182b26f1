import { readFileSync } from 'node:fs'
import { machine } from 'node:os'
import { errorCode } from '#base'
import { runCommand } from './command.ts'
import {
  type AptPackage,
  debianNames,
  findCommand,
  findProof,
  neededPackages,
  type Purpose,
} from './packages.ts'
import type { MachineFacts } from './plan.ts'

const QUERY_DEADLINE_MS = 30_000

/** Looks at this machine, changes nothing. */
export async function readFacts(purpose: Purpose, signal: AbortSignal): Promise<MachineFacts> {
  const architecture = machine()
  const needed =
    architecture in debianNames
      ? neededPackages(architecture as keyof typeof debianNames, purpose)
      : []
  return {
    architecture,
    osRelease: readOsRelease(),
    userId: process.getuid?.() ?? -1,
    hasApt: findCommand('apt-get') !== undefined && findCommand('dpkg-query') !== undefined,
    dpkgStatus: await readDpkgStatus(needed, signal),
    proven: new Set(needed.filter((one) => findProof(one) !== undefined).map(({ name }) => name)),
  }
}

/** Source: os-release(5), which names both places in this order. */
function readOsRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
    }
  }
  return ''
}

/** One call for all of them; packages that dpkg does not know are left out. */
async function readDpkgStatus(needed: readonly AptPackage[], signal: AbortSignal) {
  const query = findCommand('dpkg-query')
  if (query === undefined || needed.length === 0) return new Map<string, string>()
  const names = needed.map(({ name }) => name)
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders
  const format = '--showformat=${Package}\\t${Status}\\n'
  const { stdout } = await runCommand(
    query,
    ['--show', format, ...names], // exits 1 when it does not know one of them
    { signal, deadlineMs: QUERY_DEADLINE_MS },
  )
  return parseDpkgStatus(stdout)
}

/** @param text lines of name, tab, status. */
export function parseDpkgStatus(text: string): Map<string, string> {
  const rows = text.split('\n').filter(Boolean)
  return new Map(
    rows.map((row) => {
      const [name = '', status = ''] = row.split('\t')
      return [name, status]
    }),
  )
}
