/** Between proxies: which file a request is for. Never what a client said: the data plane sets it anew. */
export const STATIC_HEADER = 'godwit-static'
/** The value of the header in the answer when there is no such file. */
export const STATIC_MISS = 'miss'
/** What a stream to a machine's files has in place of the machine's port. */
export const STATICS_PORT = 0

export interface StaticOrder {
  readonly root: string
  readonly path: string
}

export const writeOrder = ({ root, path }: StaticOrder): string =>
  `${encodeURIComponent(root)} ${encodeURIComponent(path)}`

/** @returns undefined: it is none, or its path is not below its root */
export function readOrder(text: string | undefined): StaticOrder | undefined {
  const [first = '', second, more] = text?.split(' ') ?? []
  if (second === undefined || more !== undefined) return undefined
  try {
    const [root, path] = [decodeURIComponent(first), decodeURIComponent(second)]
    const isBelow = path.startsWith(`${root}/`) && !path.split('/').includes('..')
    return isBelow ? { root, path } : undefined
  } catch {
    return undefined // no UTF-8
  }
}
