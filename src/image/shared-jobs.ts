/**
 * Work that several callers want at once is done once. A caller whose signal aborts leaves alone; the
 * work itself is aborted when all have left.
 */
export class SharedJobs<T> {
  readonly #jobs = new Map<string, { result: Promise<T>; waiting: number; stop: AbortController }>()

  /** @throws the work's error, or the signal's reason. */
  async run(key: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal) {
    signal?.throwIfAborted()
    const job = this.#jobs.get(key) ?? this.#start(key, work)
    job.waiting += 1
    const gone = Promise.withResolvers<never>()
    const leave = () => gone.reject(signal?.reason)
    signal?.addEventListener('abort', leave, { once: true })
    try {
      return await new Promise<T>((resolve, reject) => {
        job.result.then(resolve, reject)
        gone.promise.catch(reject)
      })
    } finally {
      signal?.removeEventListener('abort', leave)
      job.waiting -= 1
      if (job.waiting === 0) {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key)
        job.stop.abort(signal?.reason)
        // Files of an abandoned job are closed before its caller goes on, and maybe begins anew.
        await job.result.catch(() => undefined)
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>) {
    const stop = new AbortController()
    const job = { result: work(stop.signal), waiting: 0, stop }
    this.#jobs.set(key, job)
    return job
  }
}
