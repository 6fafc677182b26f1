/**
 * Waiting for the first of things that happen. Not for timeouts: work that can be told to end is given a
 * signal (deadline.ts), and does not go on unseen.
 */

/** Settles as the first of them does. The others are not waited for. */
export function firstOf<T>(...things: readonly Promise<T>[]): Promise<T> {
  return new Promise((resolve, reject) => {
    for (const thing of things) thing.then(resolve, reject)
  })
}

/**
 * What `thing` becomes, unless the signal aborts first. The thing goes on; it is shared, or nobody can end
 * it.
 *
 * @throws the signal's reason
 */
export function unlessAborted<T>(thing: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    const leave = () => signal.removeEventListener('abort', onAbort)
    thing.finally(leave).then(resolve, reject)
  })
}
