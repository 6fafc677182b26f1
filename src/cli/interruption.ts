import { BaseError } from '#base'

/** Aborts at the first Ctrl-C or SIGTERM, so that what is half made can be removed or gone on with. */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () =>
      controller.abort(
        new BaseError('base.cancelled', { what: 'interrupted', values: { signal } }),
      ),
    )
  }
  return controller.signal
}
