/**
 * native: what every part that calls the C library or libuv through node:ffi needs. Owns nothing. Each part has the
 * calls that it makes in a file of its own.
 */
export { answer, errno, openLibc } from './libc.ts'
export { NativeMemory } from './native-memory.ts'
export { PollHandle } from './poll-handle.ts'
