import {
  type DynamicLibraryResult,
  dlopen,
  type FunctionDefinitions,
  toArrayBuffer,
} from 'node:ffi'

/** These functions of the C library (Linux with glibc), by their signatures. */
export const openLibc = <const T extends FunctionDefinitions>(
  definitions: T,
): DynamicLibraryResult<T> => dlopen('libc.so.6', definitions)

const { functions: libc } = openLibc({ __errno_location: { return: 'pointer', arguments: [] } })
/** This thread's errno, which the C library keeps at one place. */
const errnoCell = new Int32Array(toArrayBuffer(libc.__errno_location(), 4, false))

/**
 * The errno of the last call that failed, positive. To be read right after it: whatever runs between may make calls of
 * its own. HOT.
 */
export const errno = (): number => errnoCell[0] as number

/** A call's result as the kernel gives it: 0 or more, or the negated errno. HOT. */
export const answer = (result: number): number => (result >= 0 ? result : -(errnoCell[0] as number))
