import { type Static, Type } from 'typebox'
import { type Digest, parseDigest } from './digest.ts'
import { ImageError } from './errors.ts'
import { checkSchema, parseJson } from './manifest.ts'

/** What an image says of how it is started. Source: OCI image-spec, config.md. */
export interface ImageConfig {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  /** `KEY=VALUE`; later ones win. */
  readonly env: readonly string[]
  readonly workingDir: string
  readonly user: string
  readonly stopSignal: string
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly Digest[]
}

const Words = Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()]))
const Text = Type.Optional(Type.Union([Type.String(), Type.Null()]))
const ConfigSchema = Type.Object({
  config: Type.Optional(
    Type.Union([
      Type.Object({
        Entrypoint: Words,
        Cmd: Words,
        Env: Words,
        WorkingDir: Text,
        User: Text,
        StopSignal: Text,
      }),
      Type.Null(),
    ]),
  ),
  rootfs: Type.Object({ type: Type.Literal('layers'), diff_ids: Type.Array(Type.String()) }),
})

/** @throws ImageError image.manifest_bad, image.digest_bad */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const parsed: Static<typeof ConfigSchema> = checkSchema(
    ConfigSchema,
    parseJson(bytes, 'config'),
    'config',
  )
  const { Entrypoint, Cmd, Env, WorkingDir, User, StopSignal } = parsed.config ?? {}
  return {
    entrypoint: Entrypoint ?? [],
    cmd: Cmd ?? [],
    env: Env ?? [],
    workingDir: WorkingDir || '/',
    user: User ?? '',
    stopSignal: StopSignal || 'SIGTERM',
    diffIds: parsed.rootfs.diff_ids.map(parseDigest),
  }
}

export interface StartOverrides {
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
}

/** The command line. An entrypoint of the machine's own drops the image's cmd, as everywhere. @throws ImageError image.config_bad */
export function commandOf(
  { entrypoint, cmd }: ImageConfig,
  overrides: StartOverrides = {},
): readonly string[] {
  const ownCmd = overrides.cmd ?? (overrides.entrypoint === undefined ? cmd : [])
  const command = [...(overrides.entrypoint ?? entrypoint), ...ownCmd]
  if (command.length > 0) return command
  throw new ImageError('image.config_bad', {
    what: 'nothing says what to start',
    fix: 'set an entrypoint or cmd in the image, or in the machine config',
  })
}

/** Variables by name; an entry without `=` is a name with an empty value. */
export function envOf(config: Pick<ImageConfig, 'env'>): ReadonlyMap<string, string> {
  return new Map(
    config.env.map((entry) => {
      const equals = entry.indexOf('=')
      return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)]
    }),
  )
}
