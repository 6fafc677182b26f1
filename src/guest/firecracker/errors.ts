import { GodwitError } from '#base'

/** What driving a Firecracker process can end in. */
export class FirecrackerError extends GodwitError<keyof typeof FirecrackerError.catalogue> {
  static override readonly catalogue = {
    /** Firecracker refused a request; `values.said` has its own words. */
    'guest.vmm_refused': { status: 422 },
    /** What came back is no answer of its API. Begin a new connection. */
    'guest.vmm_answer_bad': { status: 502 },
    /** The process ended or closed the connection before it answered. */
    'guest.vmm_gone': { status: 503, transient: true },
    /** A request of ours that the API has no place for. It was not sent. */
    'guest.vmm_call_bad': { status: 422 },
    /** Nobody in the guest took the connection. Try again on a new one. */
    'guest.vsock_closed': { status: 503, transient: true },
    /** A jail that cannot be made as asked. */
    'guest.jail_bad': { status: 422 },
  } as const
}
