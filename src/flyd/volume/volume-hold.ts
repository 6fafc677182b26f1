import type { Hold } from '#market'

const GB = 2 ** 30
export const volumeHold = (sizeGb: number, exclusive?: string): Hold => ({
  needs: { volumeBytes: sizeGb * GB },
  exclusive,
})
