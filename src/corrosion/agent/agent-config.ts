import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Static, Type } from 'typebox'
import { loadConfig } from '#base'
import type { ClusterTls } from '../transport/quic-config.ts'

const closed = { additionalProperties: false }

const TlsSchema = Type.Object(
  {
    /** Of the cluster: see `godwit corrosion tls`. */
    ca_file: Type.String(),
    cert_file: Type.String(),
    key_file: Type.String(),
    client: Type.Object({ cert_file: Type.String(), key_file: Type.String() }, closed),
  },
  closed,
)

/** The configuration file of an agent: TOML, with Corrosion's names. */
export const AgentConfigSchema = Type.Object(
  {
    db: Type.Object(
      {
        path: Type.String(),
        /** Files, or folders of which all `*.sql` are read in order. */
        schema_paths: Type.Array(Type.String(), { default: [] }),
        cache_size_kib: Type.Integer({ default: 65_536, minimum: 64 }),
        /** `full` also survives the loss of power, at an fsync a commit. */
        synchronous: Type.Union([Type.Literal('normal'), Type.Literal('full')], {
          default: 'normal',
        }),
      },
      closed,
    ),
    api: Type.Object(
      {
        /** `ip:port` */
        bind_addr: Type.String(),
        endpoint_name: Type.Optional(Type.String()),
        authorization: Type.Optional(
          Type.Object({ 'bearer-token': Type.String({ minLength: 1 }) }, closed),
        ),
      },
      closed,
    ),
    gossip: Type.Object(
      {
        bind_addr: Type.String(),
        /** Under which others reach this node. */
        external_addr: Type.Optional(Type.String()),
        bootstrap: Type.Array(Type.String(), { default: [] }),
        cluster_id: Type.Integer({ default: 0, minimum: 0, maximum: 65_535 }),
        tls: TlsSchema,
      },
      closed,
    ),
    admin: Type.Object({ uds_path: Type.String() }, closed),
    telemetry: Type.Optional(
      Type.Object({ prometheus: Type.Object({ bind_addr: Type.String() }, closed) }, closed),
    ),
    log: Type.Optional(
      Type.Object(
        {
          format: Type.Optional(Type.Union([Type.Literal('json'), Type.Literal('text')])),
          level: Type.Optional(
            Type.Union([
              Type.Literal('debug'),
              Type.Literal('info'),
              Type.Literal('warn'),
              Type.Literal('error'),
            ]),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
)

export type AgentConfig = Static<typeof AgentConfigSchema>

/** @throws BaseError base.config_unreadable, base.config_bad */
export function loadAgentConfig(file: string): AgentConfig {
  return loadConfig({ schema: AgentConfigSchema, file, envPrefix: 'GODWIT_CORROSION' })
}

/** The text of all schema files together. @throws what reading says */
export function readSchemaFiles(paths: readonly string[]): string {
  const files = paths.flatMap((path) => {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path).filter((name) => name.endsWith('.sql'))
    return names.sort().map((name) => join(path, name))
  })
  return files.map((file) => readFileSync(file, 'utf8')).join('\n;\n')
}

type TlsFiles = Static<typeof TlsSchema>

/** The files that `readTls` reads. */
export const tlsPaths = ({ ca_file, cert_file, key_file, client }: TlsFiles): string[] => [
  ...[ca_file, cert_file, key_file],
  ...[client.cert_file, client.key_file],
]

export function readTls({ ca_file: ca, cert_file, key_file, client }: TlsFiles): ClusterTls {
  const read = (file: string) => readFileSync(file, 'utf8')
  return {
    caPem: read(ca),
    server: { certificatePem: read(cert_file), privateKeyPem: read(key_file) },
    client: { certificatePem: read(client.cert_file), privateKeyPem: read(client.key_file) },
  }
}
