import { dlopen, getCurrentEventLoop } from 'node:ffi'

/**
 * The descriptor that libuv waits on in this thread. It is readable while Node has something to do
 * (a signal, a socket, a finished file operation) but not when a timer of Node is due.
 * Source: uv_backend_fd, which libuv has for being embedded in another loop.
 */
export function nodeLoopFd(): number {
  const { functions } = dlopen(null, {
    uv_backend_fd: { return: 'int32', arguments: ['pointer'] },
  })
  return functions.uv_backend_fd(getCurrentEventLoop())
}
