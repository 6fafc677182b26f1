import { type ErrorTraits, GodwitError } from '#base'

/** What set-up and doctor refuse or fail to do. `exitCodeOf` gives each its exit code. */
export class SetupError extends GodwitError<keyof typeof SetupError.catalogue> {
  static override readonly catalogue = {
    'setup.platform_unsupported': { status: 501 },
    'setup.packages_by_hand': { status: 501 },
    'setup.root_needed': { status: 403 },
    'setup.apt_failed': { status: 500, transient: true },
    'setup.apt_locked': { status: 503, transient: true },
    'setup.build_failed': { status: 500, transient: true },
    'setup.command_missing': { status: 501 },
    'setup.command_late': { status: 504, transient: true },
    'setup.command_failed': { status: 500 },
  } as const satisfies Record<string, ErrorTraits>
}

/** Source: sysexits(3). What is not listed here ends with 1. */
const exitCodes: Readonly<Record<string, number>> = {
  'setup.platform_unsupported': 69, // EX_UNAVAILABLE
  'setup.packages_by_hand': 69,
  'setup.apt_locked': 75, // EX_TEMPFAIL
  'setup.root_needed': 77, // EX_NOPERM
}

/** The exit code of a process that ends with this error code. */
export function exitCodeOf(code: string | undefined): number {
  return exitCodes[code ?? ''] ?? 1
}
