import { Type } from 'typebox'

/** Shapes that several answers share. Objects are open: a newer server may say more. */

export const okAnswer = Type.Object({ ok: Type.Boolean() })

const machineConfig = Type.Object(
  { image: Type.Optional(Type.String()) },
  {
    description:
      'How the machine is made and run; `image` is required unless containers have images.',
  },
)

/** Whatever it holds is checked by the host; here only that it is an object. */
export const configInput = machineConfig

export const machineAnswer = Type.Object({
  id: Type.String({ description: '14 hex digits, for life' }),
  name: Type.String(),
  state: Type.String(),
  region: Type.String(),
  instance_id: Type.String({ description: 'of the present configuration; new with every update' }),
  version: Type.String({ description: 'the same' }),
  private_ip: Type.String(),
  created_at: Type.String(),
  updated_at: Type.String(),
  image_ref: Type.Object({}),
  config: Type.Optional(machineConfig),
  incomplete_config: Type.Optional(machineConfig),
  events: Type.Array(Type.Object({})),
  checks: Type.Array(Type.Object({})),
  host_status: Type.String({ description: '`ok`, `unknown` or `unreachable`' }),
  cordoned: Type.Boolean(),
  nonce: Type.Optional(Type.String({ description: 'of the lease that the call asked for' })),
})

export const volumeAnswer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: Type.String(),
  size_gb: Type.Integer(),
  region: Type.String(),
  encrypted: Type.Boolean(),
  attached_machine_id: Type.Union([Type.String(), Type.Null()]),
  created_at: Type.String(),
  host_status: Type.String(),
})

export const guestInput = Type.Object({
  cpu_kind: Type.Optional(Type.String()),
  cpus: Type.Optional(Type.Integer()),
  memory_mb: Type.Optional(Type.Integer()),
})

export const text = Type.String
export const optionalText = () => Type.Optional(Type.String())
export const optionalFlag = () => Type.Optional(Type.Boolean())
export const optionalWhole = () => Type.Optional(Type.Integer())
