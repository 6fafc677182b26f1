// A process of Node that does nothing: the floor of what an agent's process takes.
process.once('disconnect', () => process.exit())
