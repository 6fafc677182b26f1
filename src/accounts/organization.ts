import type { OrgSlug } from '#base'

export type Role = 'member' | 'admin'

export interface Organization {
  /** As tokens have it; grows from 1 and is never given twice. */
  readonly id: number
  readonly slug: OrgSlug
  readonly name: string
  /** Its tokens manage organisations: those of whoever runs the platform. */
  readonly isOperator: boolean
  readonly createdAtMs: number
}

export interface Member {
  readonly userId: number
  readonly email: string
  readonly role: Role
}
