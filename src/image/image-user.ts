import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ImageError } from './errors.ts'
import { lookAt, resolveFolder } from './root-tree.ts'

export interface ImageUser {
  readonly uid: number
  readonly gid: number
  /** Of the groups that name the user; empty when the reference names a group itself. */
  readonly groups: readonly number[]
  readonly home: string
}

/** Contents of /etc/passwd and /etc/group; empty where there is none. */
export interface UserFiles {
  readonly passwd: string
  readonly group: string
}

const FILE_BYTES_MAX = 4 << 20
const ID_MAX = 2 ** 32 - 2

/**
 * Who `user[:group]` is by the image's own passwd and group. A number needs no entry there: its group
 * is then 0 and its home `/`. Source: OCI image-spec, config.md, "User".
 *
 * @param text empty: root.
 * @throws ImageError image.user_unknown
 */
export function resolveUser(text: string, files: UserFiles): ImageUser {
  const [name = '', groupName, ...rest] = (text === '' ? 'root' : text).split(':')
  if (rest.length > 0) throw unknown('user', text)
  const passwd = rows(files.passwd, 7)
  const id = numberOf(name)
  const row =
    passwd.find((one) => one[0] === name) ??
    passwd.find((one) => id !== undefined && numberOf(one[2]) === id)
  const uid = numberOf(row?.[2]) ?? id ?? (name === 'root' ? 0 : undefined)
  if (uid === undefined) throw unknown('user', name)
  const own = { uid, gid: numberOf(row?.[3]) ?? 0, home: row?.[5] || (uid === 0 ? '/root' : '/') }
  const groups = rows(files.group, 4)
  if (groupName !== undefined && groupName !== '') {
    const named = groups.find((one) => one[0] === groupName)
    const gid = numberOf(named?.[2]) ?? numberOf(groupName)
    if (gid === undefined) throw unknown('group', groupName)
    return { ...own, gid, groups: [] }
  }
  const member = row?.[0]
  const joined = groups.filter((one) => member !== undefined && one[3]?.split(',').includes(member))
  return { ...own, groups: joined.flatMap((one) => numberOf(one[2]) ?? []) }
}

/** An image's /etc/passwd and /etc/group; empty where it has none. Links stay inside of the root. */
export function readUserFiles(root: string): UserFiles {
  return { passwd: readSmall(root, 'passwd'), group: readSmall(root, 'group') }
}

function readSmall(root: string, name: string): string {
  if (lookAt(join(root, 'etc')) === undefined) return ''
  const path = join(resolveFolder(root, ['etc'], { create: false }), name)
  if (!lookAt(path)?.isFile()) return ''
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return fstatSync(fd).size > FILE_BYTES_MAX ? '' : readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

const rows = (file: string, fields: number) =>
  file
    .split('\n')
    .map((line) => line.trim().split(':'))
    .filter((row) => row.length >= fields && row[0] !== '')

function numberOf(text: string | undefined): number | undefined {
  const number = /^\d{1,10}$/.test(text ?? '') ? Number(text) : Infinity
  return number <= ID_MAX ? number : undefined
}

const unknown = (kind: 'user' | 'group', name: string) =>
  new ImageError('image.user_unknown', {
    what: `the image knows no such ${kind}`,
    values: { [kind]: name },
    fix: `add it in the image, or name the ${kind} by number`,
  })
