import { dlopen } from 'node:ffi'

const { functions: libc } = dlopen('libc.so.6', {
  waitpid: { return: 'int32', arguments: ['int32', 'pointer', 'int32'] },
})
/** Source: wait(2), Linux. */
const WNOHANG = 1

/**
 * Takes a child that has ended out of the process table. Node does so for those that it started itself; those of the
 * program before it in the same process it does not know. Does nothing about any other process.
 */
export function reap(pid: number): void {
  libc.waitpid(pid, null, WNOHANG)
}
