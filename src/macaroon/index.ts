/**
 * macaroon: the token format of superfly/macaroon, byte by byte, as pure code but for one thin shell.
 * Owns the format and the answer to "may this token do that?"; keys and revocations belong to others.
 *
 * Reading order: caveat.ts (what tokens say), macaroon.ts and chain.ts (what a token is), verify.ts
 * (is it genuine), evaluate.ts and caveats/ (does it allow), third-party.ts and ticket.ts (somebody
 * else vouches), bundle.ts and authorize.ts (a header's tokens), verifier.ts and cache.ts,
 * exchange.ts (how discharges are fetched) and fetch-discharges.ts, the one file here that opens
 * connections. limits.ts has every bound.
 */
export type { Access } from './access.ts'
export { parseAccess } from './access.ts'
export type { ActionMask } from './action.ts'
export { Action, parseActions, printActions } from './action.ts'
export type { Authorization, Refusal, VerifiedBundle } from './authorize.ts'
export {
  attenuateVerified,
  authorize,
  requireAuthorized,
  verifiedTokens,
  verifyBundle,
} from './authorize.ts'
export type { Bundle, BundleToken, MacaroonToken } from './bundle.ts'
export {
  addDischarge,
  addTokens,
  attenuateBundle,
  dischargeBundle,
  isMissingDischarge,
  onlyPermissionToken,
  PERMISSION_LOCATION,
  parseBundle,
  permissionTokens,
  printBundle,
  selectTokens,
  undischargedTickets,
  withoutUseless,
} from './bundle.ts'
export type { Caveat } from './caveat.ts'
export { caveatsOf } from './caveat.ts'
export { caveatsFromJson, decodeCaveatSet, encodeCaveatSet } from './caveat-set.ts'
export { attenuate, mint } from './chain.ts'
export type { Denial } from './denial.ts'
export type { DischargeRequest } from './discharge-request.ts'
export type { MacaroonErrorCode } from './errors.ts'
export { MacaroonError } from './errors.ts'
export { printExactJson } from './exact-json.ts'
export type { ExchangeAnswer, ExchangeReply } from './exchange.ts'
export {
  exchangeUrl,
  parsePollReply,
  parseTicketReply,
  parseTicketRequest,
  pollUrl,
  printPollReply,
  printTicketReply,
  printTicketRequest,
  withReturnTo,
} from './exchange.ts'
export type { Fetched, FetchOptions } from './fetch-discharges.ts'
export { fetchDischarges } from './fetch-discharges.ts'
export type { TokenSummary } from './inspect.ts'
export { caveatsToJson, inspectBundle } from './inspect.ts'
export type { Macaroon } from './macaroon.ts'
export { decodeMacaroon, encodeMacaroon, printMacaroon } from './macaroon.ts'
export type { Nonce } from './nonce.ts'
export { tokenUuid } from './nonce.ts'
export { PendingDischarges } from './pending-discharges.ts'
export { appScope, clusterScope, expiryOf, organizationScope, userOf } from './scope.ts'
export { addThirdParty, bindDischarge, dischargeFor } from './third-party.ts'
export type { KeyLookup, Revocations, Verifier, VerifierOptions } from './verifier.ts'
export { openVerifier } from './verifier.ts'
export type { Verdict, VerifiedToken, VerifyFailure } from './verify.ts'
export type { WireInteger } from './wire-integer.ts'
