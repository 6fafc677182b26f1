import type { Identity } from './member.ts'
import type { SwimMessage } from './swim-message.ts'

export type SwimEvent =
  /** Begin: ask these addresses for members. Also later, to join again. */
  | { readonly type: 'joinRequested'; readonly addresses: readonly string[] }
  | { readonly type: 'received'; readonly message: SwimMessage }
  | { readonly type: 'clockTicked' }
  /** Tell others that we go, so that nobody has to suspect us. */
  | { readonly type: 'leaveRequested' }

export type SwimAction =
  | { readonly type: 'send'; readonly to: string; readonly message: SwimMessage }
  | { readonly type: 'memberUp'; readonly identity: Identity }
  | { readonly type: 'memberSuspected'; readonly identity: Identity }
  | { readonly type: 'memberDown'; readonly identity: Identity }
  /** Others held us for down: we go on under a newer identity, which the shell keeps. */
  | { readonly type: 'identityRenewed'; readonly identity: Identity }
