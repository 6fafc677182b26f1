import { arch } from 'node:process'

/** What an image runs on, in Go's words. Source: OCI image-spec, image-index.md. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }

/** Guests run Linux on the host's own processor. */
export const hostPlatform = (): Platform => ({
  os: 'linux',
  architecture: GO_ARCHITECTURES[arch] ?? arch,
})

/** The entry of an index that fits best; the first of equals, as the format asks. */
export function choosePlatform<Entry extends { readonly platform?: Platform }>(
  entries: readonly Entry[],
  wanted: Platform,
): Entry | undefined {
  const fitting = entries.filter(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  )
  const variant = wanted.variant ?? (wanted.architecture === 'arm64' ? 'v8' : undefined)
  const exact = fitting.find(({ platform }) => platform?.variant === variant)
  if (exact !== undefined) return exact
  return wanted.variant === undefined ? fitting[0] : fitting.find((e) => !e.platform?.variant)
}

export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter(Boolean).join('/')
