/** Where the secrets of apps come from. They stay in memory, and reach the machine's env and files alone. */
export interface SecretSource {
  /**
   * By the app's name, at least of this version.
   *
   * @throws what makes the act be tried again: they cannot be had now
   */
  secretsOf(
    app: string,
    minVersion: number,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>>
}

/** Of a host that nobody gives secrets to. */
export const noSecrets: SecretSource = { secretsOf: async () => ({}) }
