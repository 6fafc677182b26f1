import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { GuestError } from './errors.ts'

const PATH = join(import.meta.dirname, '../../build/init/init')

/** The program that is PID 1 of every machine. @throws GuestError guest.host_unable: it was not built */
export function findInit(): string {
  if (existsSync(PATH)) return PATH
  throw new GuestError('guest.host_unable', {
    what: "the guests' init is missing",
    values: { path: PATH },
    fix: 'npm run setup',
  })
}
