import type { BackhaulStream } from '../backhaul/dialer.ts'
import type { StreamHandlers } from '../backhaul/link-stream.ts'
import type { ToRemote } from '../route.ts'
import type { ClientFacts } from '../router/open-remote.ts'

/** Opens a stream to a machine of another host: see openRemote. Undefined: there is no way to it now. */
export type RemoteOpener = (
  decision: ToRemote,
  client: ClientFacts,
  handlers: StreamHandlers,
) => BackhaulStream | undefined
