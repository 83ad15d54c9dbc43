/** A mutation that the server refused for good: its effects are gone. */
export interface Rejection {
  /** The mutation's number, unique within its client. */
  readonly id: number;
  /** The name of the mutator. */
  readonly name: string;
  /** Why it was refused, for people. It comes from the server's mutator. */
  readonly reason: string;
}

/** A rejection and the client (the tab) whose mutation it was. */
export interface ClientRejection {
  /** The `clientID` of the Replicache instance that made the mutation. */
  readonly clientID: string;
  /** What was refused. */
  readonly rejection: Rejection;
}

/** Reads the field `rejections` of a pull answer. What is malformed is left out. */
export function rejectionsOf(answer: unknown): ClientRejection[] {
  if (!isRecord(answer) || !isRecord(answer['rejections'])) {
    return [];
  }
  return Object.entries(answer['rejections']).flatMap(([clientID, list]) =>
    (Array.isArray(list) ? list : [])
      .map(rejectionOf)
      .filter(rejection => rejection !== undefined)
      .map(rejection => ({clientID, rejection})),
  );
}

function rejectionOf(value: unknown): Rejection | undefined {
  if (!isRecord(value)) {
    return undefined;
  }
  const {id, name, reason} = value;
  if (typeof id !== 'number' || typeof name !== 'string' || typeof reason !== 'string') {
    return undefined;
  }
  return {id, name, reason};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
