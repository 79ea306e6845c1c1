import type { HopName } from "../link/health";

/** A hop as people call it: the machine by its name. */
export function hopTitle(name: HopName, machine: string | undefined): string {
  return name === "machine" ? (machine ?? "machine") : name;
}
