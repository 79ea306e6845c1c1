/** Whether Command is what Control is elsewhere, and Option writes characters. */
export function isMac(): boolean {
  return /Mac|iPhone|iPad/u.test(navigator.userAgent);
}
