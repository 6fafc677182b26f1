import { join } from 'node:path'
import { testRuntime } from '../contract.ts'

testRuntime({
  name: 'runc',
  subjectPath: join(import.meta.dirname, 'contract-subject.ts'),
  isVirtual: false,
  leakRounds: 15,
})
