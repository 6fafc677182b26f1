import type { AppConfig, Mount } from '../app-config.ts'
import { sizeOrUndefined } from '../machine-size.ts'
import type { Problems } from '../problem.ts'
import { isFor, processGroups } from '../process-groups.ts'

const GB = 2 ** 30

/** `[[mounts]]`: one for each group, in bounds. */
export function checkMounts(config: AppConfig, problems: Problems): void {
  const { mounts = [] } = config
  for (const [index, mount] of mounts.entries()) checkMount(mount, `/mounts/${index}`, problems)
  for (const group of processGroups(config)) {
    const own = mounts.filter((mount) => isFor(mount, group, config))
    if (own.length > 1) {
      problems.error(
        '/mounts',
        `are ${own.length} for process group '${group}'; a machine has one volume`,
      )
    }
  }
}

function checkMount(mount: Mount, path: string, problems: Problems): void {
  if (!mount.source) problems.error(`${path}/source`, 'is required: the name of the volume')
  else if (!/^[a-z0-9_]{1,30}$/.test(mount.source)) {
    problems.error(`${path}/source`, `is '${mount.source}'; use 1 to 30 of a-z, 0-9 and _`)
  }
  const { destination = '' } = mount
  if (!destination.startsWith('/') || destination === '/') {
    problems.error(`${path}/destination`, `is '${destination}'; use an absolute path other than /`)
  }
  problems.within(`${path}/snapshot_retention`, mount.snapshot_retention, 1, 60)
  problems.within(`${path}/auto_extend_size_threshold`, mount.auto_extend_size_threshold, 50, 99)
  sizeWithin(problems, `${path}/initial_size`, mount.initial_size, 1, 500)
  sizeWithin(
    problems,
    `${path}/auto_extend_size_increment`,
    mount.auto_extend_size_increment,
    1,
    100,
  )
  sizeWithin(problems, `${path}/auto_extend_size_limit`, mount.auto_extend_size_limit, 0, 500)
  const extend = [mount.auto_extend_size_threshold, mount.auto_extend_size_increment]
  const given = extend.filter((value) => value !== undefined).length
  if (given === 1 || (given === 0 && mount.auto_extend_size_limit !== undefined)) {
    problems.error(
      path,
      'auto_extend_size_threshold, auto_extend_size_increment and auto_extend_size_limit must be all defined or none',
    )
  } else if (given === 2 && mount.auto_extend_size_limit === undefined) {
    problems.error(
      path,
      'auto_extend_size_threshold, auto_extend_size_increment and auto_extend_size_limit must be all defined or none; a limit of 0 is none',
    )
  }
}

function sizeWithin(
  problems: Problems,
  path: string,
  size: number | string | undefined,
  min: number,
  max: number,
): void {
  const sizeGb = gigabytes(size)
  if (size !== undefined && sizeGb === undefined) {
    problems.error(path, `is '${size}'; write a size like 1gb`)
  }
  problems.within(path, sizeGb, min, max)
}

/** A bare number is gigabytes. Undefined: absent, or no size. */
export function gigabytes(size: number | string | undefined): number | undefined {
  if (size === undefined || typeof size === 'number') return size
  if (/^\d+$/.test(size)) return Number(size)
  const bytes = sizeOrUndefined(size)
  return bytes === undefined ? undefined : bytes / GB
}
