/** Wherever FIRECRACKER_BIN names a real Firecracker, it is held to what every runtime promises. */
import { join } from 'node:path'
import { testRuntime } from '../contract.ts'
import { testIsolation } from '../isolation.ts'

const subject = {
  name: 'firecracker',
  subjectPath: join(import.meta.dirname, 'contract-subject.ts'),
  isVirtual: true,
  leakRounds: 50,
}

if (process.env['FIRECRACKER_BIN'] !== undefined) {
  testRuntime(subject)
  testIsolation(subject)
}
