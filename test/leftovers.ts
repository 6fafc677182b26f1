import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'

/**
 * Everything on this machine that a planet could leave behind, one line each: namespaces, mounts,
 * processes, loop devices, interfaces, routes, firewall tables, control groups, folders and pinned programs.
 */
export function takeSnapshot(): string[] {
  return [
    ...entries('/run/netns').map((name) => `namespace ${name}`),
    ...mounts().map((mount) => `mount ${mount}`),
    ...members().map((process) => `process ${process}`),
    ...lines('losetup', ['--noheadings', '--list', '--output', 'NAME,BACK-INO']).map(
      (device) => `loop ${device}`,
    ),
    ...lines('ip', ['-brief', 'link']).map((link) => `interface ${link.split(/\s/)[0]}`),
    ...['-4', '-6'].flatMap((family) =>
      lines('ip', [family, 'route', 'show', 'table', 'all']).map((route) => `route ${route}`),
    ),
    ...lines('nft', ['list', 'tables']).map((table) => `firewall ${table}`),
    ...controlGroups().map((group) => `control group ${group}`),
    ...['/run/godwit/planets', '/var/lib/godwit/planets', '/sys/fs/bpf'].flatMap((folder) =>
      entries(folder).map((name) => `file ${folder}/${name}`),
    ),
  ].sort()
}

/** What is in `after` and was not in `before`. */
export function leftovers(before: readonly string[], after: readonly string[]): string[] {
  const known = new Set(before)
  return after.filter((line) => !known.has(line))
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // no folder, nothing in it
  }
}

function lines(command: string, args: string[]): string[] {
  return execFileSync(command, args, { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
}

/** Of machines, and of planets' nodes. */
function controlGroups(): string[] {
  const root = '/sys/fs/cgroup'
  return [root, ...entries(root).map((name) => `${root}/${name}`)].flatMap((tree) =>
    ['godwit', 'godwit-planets'].flatMap((parent) => {
      const folder = `${tree}/${parent}`
      return entries(folder)
        .map((name) => `${folder}/${name}`)
        .filter((path) => statSync(path, { throwIfNoEntry: false })?.isDirectory())
    }),
  )
}

/** Mount points. /run/netns itself is made by iproute2 at its first use and kept for good. */
function mounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((point) => point !== '/run/netns')
}

/** In the environment of who was started: by a planet, or on a test's own host. */
const MARKS = /^(GODWIT_PLANET_MEMBER|GODWIT_OWN_HOST)=/

/** Processes that a planet, a test or a daemon of the project started. Zombies are gone already. */
function members(): string[] {
  return entries('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
        const mark = environment.find((entry) => MARKS.test(entry))
        if (mark === undefined) return []
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
        return command === '' ? [] : [`${pid} ${mark} ${command}`]
      } catch {
        return [] // it ended meanwhile
      }
    })
}
