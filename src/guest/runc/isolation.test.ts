import { join } from 'node:path'
import { testIsolation } from '../isolation.ts'

testIsolation({
  name: 'runc',
  subjectPath: join(import.meta.dirname, 'contract-subject.ts'),
  isVirtual: false,
  leakRounds: 0,
})
