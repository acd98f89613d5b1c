/** Amazon States Language, as far as a local run has to read it. */

export type State = {
  readonly Type: string;
  readonly Resource?: string;
  readonly ItemProcessor?: Definition;
  readonly Iterator?: Definition;
  readonly Branches?: readonly Definition[];
};

export type Definition = { readonly StartAt: string; readonly States: Readonly<Record<string, State>> };

/** @throws Error where the value is no state machine */
export function parseDefinition(value: unknown): Definition {
  if (typeof value === "object" && value !== null && "StartAt" in value && "States" in value)
    return value as Definition;
  throw new Error("LOCAL_MACHINE_DEFINITION: expected an object with StartAt and States, got something else");
}

/** Every state with its name, those inside of Map and Parallel states included. */
export function listStates(definition: Definition): [name: string, state: State][] {
  return Object.entries(definition.States).flatMap(([name, state]) => [
    [name, state] as [string, State],
    ...[state.ItemProcessor, state.Iterator, ...(state.Branches ?? [])].flatMap((inner) =>
      inner ? listStates(inner) : [],
    ),
  ]);
}
