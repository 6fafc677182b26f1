import { join } from 'node:path'
import type { GuestFolder } from '../guest-folder.ts'
import type { GuestSpec } from '../guest-spec.ts'
import type { BootFiles, SnapshotFiles } from './boot-plan.ts'
import { inside, type Jail } from './jail.ts'
import type { JailFile } from './jail-files.ts'

/** As Firecracker names them, in its root. */
export const bootFilesOf = ({ disks = [] }: GuestSpec): BootFiles => ({
  kernel: inside.kernel,
  initrd: inside.initrd,
  vsock: inside.vsock,
  drives: [0, ...disks.map((_, index) => index + 1)].map(inside.drive),
  serialLog: inside.serialLog,
})

export const snapshotInside: SnapshotFiles = { state: inside.state, memory: inside.memory }

/** Where Firecracker makes a snapshot, as the host sees it. */
export const snapshotIn = (jail: Jail): SnapshotFiles => ({
  state: join(jail.root, inside.state),
  memory: join(jail.root, inside.memory),
})

/** Where a snapshot is kept: a jail is made anew for each start. */
export const snapshotOf = (folder: GuestFolder): SnapshotFiles => ({
  state: folder.file('snapshot.state'),
  memory: folder.file('snapshot.memory'),
})

export const logOf = (folder: GuestFolder): string => folder.file('vmm.log')

/** The kernel and its initial file system are of all guests, so each gets copies. */
export const bootJailFiles = (kernel: string, initrd: string): readonly JailFile[] => [
  { from: kernel, to: inside.kernel, how: 'copied', isWritable: false },
  { from: initrd, to: inside.initrd, how: 'copied', isWritable: false },
]

export const snapshotJailFiles = ({ state, memory }: SnapshotFiles): readonly JailFile[] => [
  { from: state, to: inside.state, how: 'linked' },
  { from: memory, to: inside.memory, how: 'linked' },
]

export const diskJailFiles = ({ rootfs, disks = [] }: GuestSpec): readonly JailFile[] =>
  [rootfs, ...disks].map(({ path, readOnly = false }, index) => ({
    ...{ from: path, to: inside.drive(index), isWritable: !readOnly },
    how: readOnly ? 'shared' : 'linked',
  }))
