import assert from 'node:assert/strict'
import type { Random } from '#base'
import { AnnounceSchedule } from './announce-schedule.ts'
import { type Identity, type Rumour, supersedes } from './member.ts'
import { MemberTable } from './member-table.ts'
import { Probe } from './probe.ts'
import { ProbeRound, shuffled } from './probe-round.ts'
import { Relays } from './relays.ts'
import { RumourMill } from './rumour-mill.ts'
import type { SwimAction, SwimEvent } from './swim-event.ts'
import { RUMOURS_MAX, type SwimBody, type SwimMessage } from './swim-message.ts'
import { checkSwimOptions, type SwimOptions } from './swim-options.ts'

/** A feed is several datagrams: a new node need not wait for gossip about everyone. */
const FEED_DATAGRAMS = 16

/**
 * Membership of a cluster without a centre: each node probes one member a period, asks others to probe
 * one that did not answer, suspects one that answered nobody, and declares it down unless it refutes.
 * What a node learns travels on the messages that are sent anyway.
 *
 * Every second probe goes to the node that follows in the order of ids, the others to all in turn.
 *
 * No I/O and no clock of its own. Messages of another cluster are ignored.
 * Source: SWIM (Das, Gupta, Motivala 2002); "Lifeguard" (Dadgar, Phillips, Currey 2017) for telling a
 * suspect first of all that it is one; identities that are renewed, as foca does it.
 */
export class Swim {
  readonly #options: SwimOptions
  readonly #random: Random
  readonly #clusterId: number
  readonly #members = new MemberTable()
  readonly #relays = new Relays()
  readonly #mill = new RumourMill()
  readonly #round: ProbeRound
  readonly #announces: AnnounceSchedule
  #self: Identity
  #incarnation = 0
  #probe: Probe | undefined
  #probeNumber = 0
  #probeAtMs: number
  #gossipAtMs: number
  #reviveAtMs: number
  #isRingTurn = false
  #hasLeft = false
  #nowMs = 0
  #actions: SwimAction[] = []

  constructor(init: {
    readonly self: Identity
    readonly clusterId: number
    readonly options: SwimOptions
    readonly random: Random
    readonly nowMs: number
    /** Members as `snapshot` gave them before a restart. */
    readonly members?: readonly Rumour[]
  }) {
    this.#options = checkSwimOptions(init.options)
    this.#random = init.random
    this.#round = new ProbeRound(init.random)
    this.#self = init.self
    this.#clusterId = init.clusterId
    this.#nowMs = init.nowMs
    const { probePeriodMs, gossipPeriodMs, announcePeriodMs, revivePeriodMs } = init.options
    // Nodes that start together do not all speak at once.
    this.#probeAtMs = init.nowMs + init.random.next() * probePeriodMs
    this.#gossipAtMs = init.nowMs + init.random.next() * gossipPeriodMs
    const announceAtMs = init.nowMs + init.random.next() * announcePeriodMs
    this.#announces = new AnnounceSchedule(init.options, announceAtMs)
    this.#reviveAtMs = init.nowMs + init.random.next() * revivePeriodMs
    for (const rumour of init.members ?? []) {
      if (rumour.identity.id === init.self.id || rumour.health === 'suspect') continue
      this.#remember(rumour)
    }
  }

  get identity(): Identity {
    return this.#self
  }

  get incarnation(): number {
    return this.#incarnation
  }

  /** When the shell must send `clockTicked` at the latest. */
  get wakeAtMs(): number {
    let wakeAtMs = Math.min(this.#probeAtMs, this.#gossipAtMs, this.#announces.dueAtMs)
    if (this.#members.down.size > 0) wakeAtMs = Math.min(wakeAtMs, this.#reviveAtMs)
    if (this.#probe !== undefined) wakeAtMs = Math.min(wakeAtMs, this.#probe.dueAtMs)
    return Math.min(wakeAtMs, this.#members.nextDownAtMs)
  }

  /** What is known of every other node, down ones included: to be kept over a restart. */
  snapshot(): Rumour[] {
    return this.#members.rumours()
  }

  /** Members that are not down. */
  get upCount(): number {
    return this.#members.up.size
  }

  healthOf(id: string): Rumour['health'] | undefined {
    return this.#members.rumourOf(id)?.health
  }

  step(event: SwimEvent, nowMs: number): SwimAction[] {
    assert(nowMs >= this.#nowMs, 'the clock ran backwards')
    this.#nowMs = nowMs
    this.#actions = []
    switch (event.type) {
      case 'joinRequested':
        this.#hasLeft = false
        for (const address of event.addresses) this.#send(address, { kind: 'announce' })
        this.#announces.joinSoon(this.#nowMs)
        break
      case 'received':
        this.#receive(event.message)
        break
      case 'clockTicked':
        this.#tick()
        break
      case 'leaveRequested':
        this.#leave()
    }
    return this.#actions
  }

  #tick(): void {
    this.#advanceProbe()
    this.#expireSuspects()
    if (this.#nowMs >= this.#probeAtMs) this.#startProbe()
    if (this.#nowMs >= this.#gossipAtMs) this.#gossip()
    if (this.#nowMs >= this.#announces.dueAtMs) this.#announce()
    if (this.#nowMs >= this.#reviveAtMs) this.#revive()
  }

  // --- probing

  #startProbe(): void {
    this.#probeAtMs = this.#nowMs + this.#options.probePeriodMs
    if (this.#hasLeft) return
    const target = this.#nextTarget()
    if (target === undefined) return
    this.#probeNumber += 1
    this.#probe = new Probe(this.#probeNumber, target, this.#options, this.#nowMs)
    this.#send(target.address, { kind: 'ping', probe: this.#probeNumber }, target.id)
  }

  /** A suspect of our own comes first: it gets every chance to answer. */
  #nextTarget(): Identity | undefined {
    for (const id of this.#members.suspects) {
      const member = this.#members.get(id)
      if (member !== undefined && this.#probe?.target.id !== id && this.#random.next() < 0.5) {
        return member.rumour.identity
      }
    }
    this.#isRingTurn = !this.#isRingTurn
    const id = this.#isRingTurn
      ? this.#members.successorOf(this.#self.id)
      : this.#round.next(this.#members.up, (candidate) => this.#members.up.has(candidate))
    return id === undefined ? undefined : this.#members.rumourOf(id)?.identity
  }

  #advanceProbe(): void {
    const probe = this.#probe
    if (probe === undefined) return
    if (!probe.isIndirect && this.#nowMs >= probe.indirectAtMs) {
      probe.isIndirect = true
      const others = this.#pick(this.#options.indirectProbes, probe.target.id)
      const request = { kind: 'pingRequest', probe: probe.number, target: probe.target } as const
      for (const { address } of others) this.#send(address, request)
      // Once more ourselves: the answer to one lost datagram is not the gossip of a thousand nodes.
      this.#send(probe.target.address, { kind: 'ping', probe: probe.number }, probe.target.id)
    }
    if (this.#nowMs < probe.endsAtMs) return
    this.#probe = undefined
    this.#suspect(probe.target)
  }

  #suspect(target: Identity): void {
    const member = this.#members.get(target.id)
    if (member === undefined || member.rumour.identity.renewedAt !== target.renewedAt) return
    if (member.rumour.health === 'down') return
    const downAtMs = this.#nowMs + this.#options.suspicionMs
    if (member.rumour.health === 'suspect') {
      member.downAtMs = Math.min(member.downAtMs, downAtMs) // now we have seen it ourselves
      return
    }
    this.#learn({ ...member.rumour, health: 'suspect' }, downAtMs)
  }

  #expireSuspects(): void {
    for (const id of this.#members.suspects) {
      const member = this.#members.get(id)
      if (member === undefined || member.downAtMs > this.#nowMs) continue
      this.#learn({ ...member.rumour, health: 'down' })
    }
  }

  // --- what others say

  #receive(message: SwimMessage): void {
    if (message.clusterId !== this.#clusterId || message.from.id === this.#self.id) return
    const { from, incarnation } = message
    const known = this.#members.rumourOf(from.id)
    const sizeBefore = this.#members.size
    const isHeldDown = known?.health === 'down' && known.identity.renewedAt >= from.renewedAt
    // That it speaks is news of its own making: it lives, at least in this incarnation.
    this.#hear({ identity: from, incarnation, health: 'alive' })
    for (const rumour of message.rumours.slice(0, RUMOURS_MAX)) this.#hear(rumour)
    // One that is held for down must learn so, or it would go on unheard for ever.
    if (isHeldDown && known !== undefined) this.#mill.add(known)
    if (message.kind === 'feed' && this.#members.size > sizeBefore) {
      this.#announces.joinSoon(this.#nowMs)
    }
    this.#answer(message)
  }

  #answer(message: SwimMessage): void {
    const { from } = message
    switch (message.kind) {
      case 'ping':
        this.#send(from.address, { kind: 'ack', probe: message.probe }, from.id)
        break
      case 'ack':
        this.#acked(message.probe, from)
        break
      case 'relayedAck':
        if (message.probe === this.#probe?.number) this.#probe = undefined
        break
      case 'pingRequest':
        this.#relay(message.probe, from.address, message.target)
        break
      case 'announce':
        this.#feed(from)
        break
      case 'feed':
      case 'gossip':
        break
    }
  }

  #acked(probe: number, from: Identity): void {
    if (probe === this.#probe?.number && from.id === this.#probe.target.id) {
      this.#probe = undefined
      return
    }
    const relay = this.#relays.take(probe)
    if (relay !== undefined)
      this.#send(relay.origin, { kind: 'relayedAck', probe: relay.originProbe })
  }

  #relay(originProbe: number, origin: string, target: Identity): void {
    this.#probeNumber += 1
    const forgetAtMs = this.#nowMs + this.#options.probePeriodMs
    this.#relays.add(this.#probeNumber, { origin, originProbe, forgetAtMs }, this.#nowMs)
    this.#send(target.address, { kind: 'ping', probe: this.#probeNumber }, target.id)
  }

  #hear(rumour: Rumour): void {
    if (rumour.identity.id === this.#self.id) {
      this.#hearOfSelf(rumour)
      return
    }
    const known = this.#members.rumourOf(rumour.identity.id)
    if (known !== undefined && !supersedes(rumour, known)) return
    if (known === undefined && rumour.health === 'down') {
      this.#remember(rumour) // so that older news cannot raise it
      return
    }
    this.#learn(rumour, this.#nowMs + this.#options.hearsayMs)
  }

  #hearOfSelf({ identity, incarnation, health }: Rumour): void {
    if (health === 'alive' || this.#hasLeft || identity.renewedAt < this.#self.renewedAt) return
    if (health === 'down') {
      const renewedAt = Math.max(this.#self.renewedAt, identity.renewedAt) + 1
      this.#self = { ...this.#self, renewedAt }
      this.#incarnation = 0
      this.#actions.push({ type: 'identityRenewed', identity: this.#self })
    } else if (incarnation >= this.#incarnation) this.#incarnation = incarnation + 1
    else return
    this.#mill.add(this.#ownRumour('alive'))
  }

  /** Takes news over, tells the shell, and passes it on. */
  #learn(rumour: Rumour, downAtMs = Infinity): void {
    const before = this.#members.rumourOf(rumour.identity.id)
    this.#remember(rumour)
    const { identity, health } = rumour
    if (health === 'suspect') {
      this.#members.suspect(identity.id, downAtMs)
      this.#actions.push({ type: 'memberSuspected', identity })
    } else if (health === 'down') this.#actions.push({ type: 'memberDown', identity })
    else if (before === undefined || before.identity.renewedAt !== identity.renewedAt) {
      this.#actions.push({ type: 'memberUp', identity })
    }
    // That a node speaks in an incarnation that all know of is no news to pass on.
    if (before === undefined || health !== 'alive' || supersedes(rumour, before)) {
      this.#mill.add(rumour)
    }
  }

  #remember(rumour: Rumour): void {
    this.#members.remember(rumour, this.#nowMs + this.#options.rememberDownMs)
  }

  // --- spreading

  #gossip(): void {
    this.#gossipAtMs = this.#nowMs + this.#options.gossipPeriodMs
    if (this.#mill.size === 0 || this.#hasLeft) return
    for (const { address, id } of this.#pick(this.#options.gossipTargets)) {
      this.#send(address, { kind: 'gossip' }, id)
    }
  }

  #announce(): void {
    this.#announces.announced(this.#nowMs)
    if (this.#hasLeft) return
    this.#members.forgetDown(this.#nowMs)
    for (const { address } of this.#pick(1)) this.#send(address, { kind: 'announce' })
    for (const id of this.#members.down.draw(1, this.#random)) this.#askDown(id)
  }

  /** A down one may be back, and hold us for down as well: it hears from us now and then. */
  #revive(): void {
    const { revivePeriodMs, reviveForMs, rememberDownMs } = this.#options
    this.#reviveAtMs = this.#nowMs + revivePeriodMs
    if (this.#hasLeft) return
    for (const id of this.#members.down.draw(1, this.#random)) {
      const downSinceMs = (this.#members.get(id)?.forgetAtMs ?? 0) - rememberDownMs
      if (this.#nowMs - downSinceMs <= reviveForMs) this.#askDown(id)
    }
  }

  #askDown(id: string): void {
    const address = this.#members.rumourOf(id)?.identity.address
    if (address !== undefined) this.#send(address, { kind: 'announce' }, id)
  }

  #feed(to: Identity): void {
    const rumours = shuffled(this.#members.rumours(), this.#random).filter(
      ({ identity, health }) => identity.id !== to.id && health !== 'suspect',
    )
    for (let datagram = 0; datagram < FEED_DATAGRAMS; datagram += 1) {
      const part = rumours.slice(datagram * RUMOURS_MAX, (datagram + 1) * RUMOURS_MAX)
      if (part.length === 0 && datagram > 0) break
      this.#sendWith(to.address, { kind: 'feed' }, part)
    }
  }

  #leave(): void {
    this.#hasLeft = true
    const rumours = [this.#ownRumour('down')]
    for (const { address } of this.#pick(this.#options.gossipTargets * 2)) {
      this.#sendWith(address, { kind: 'gossip' }, rumours)
    }
  }

  #pick(count: number, except?: string): Identity[] {
    return this.#members.pick(count, this.#random, except)
  }

  /** Sends with rumours; what is bad news of `about`, the receiver, goes first of all. */
  #send(to: string, body: SwimBody, about?: string): void {
    const tellsMax = Math.ceil(this.#options.tellsPerDecade * Math.log10(this.#members.size + 10))
    const own = about === undefined ? undefined : this.#members.rumourOf(about)
    const rumours = this.#mill.take(RUMOURS_MAX, tellsMax)
    if (own !== undefined && own.health !== 'alive' && !rumours.includes(own)) {
      this.#sendWith(to, body, [own, ...rumours.slice(0, RUMOURS_MAX - 1)])
    } else this.#sendWith(to, body, rumours)
  }

  #sendWith(to: string, body: SwimBody, rumours: readonly Rumour[]): void {
    const envelope = {
      clusterId: this.#clusterId,
      from: this.#self,
      incarnation: this.#incarnation,
    }
    this.#actions.push({ type: 'send', to, message: { ...envelope, rumours, ...body } })
  }

  #ownRumour(health: Rumour['health']): Rumour {
    return { identity: this.#self, incarnation: this.#incarnation, health }
  }
}
