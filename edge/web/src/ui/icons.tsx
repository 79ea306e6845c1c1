// Drawn here, in one hand: 16 by 16, strokes of 1.5.

import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }): ReactNode {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const PlusIcon = (): ReactNode => (
  <Icon>
    <path d="M8 3v10M3 8h10" />
  </Icon>
);
export const CloseIcon = (): ReactNode => (
  <Icon>
    <path d="M4 4l8 8M12 4l-8 8" />
  </Icon>
);
export const EarlierIcon = (): ReactNode => (
  <Icon>
    <path d="M3 3h10M8 13V6.5M4.8 9.7L8 6.5l3.2 3.2" />
  </Icon>
);
export const PencilIcon = (): ReactNode => (
  <Icon>
    <path d="M3 13l.6-2.8L10.9 2.9l2.2 2.2-7.3 7.3zM9.3 4.5l2.2 2.2" />
  </Icon>
);
export const StopIcon = (): ReactNode => (
  <Icon>
    <path d="M8 2.5v5M4.6 4.6a4.8 4.8 0 1 0 6.8 0" />
  </Icon>
);
export const ListIcon = (): ReactNode => (
  <Icon>
    <path d="M2.5 4h11M2.5 8h11M2.5 12h7" />
  </Icon>
);
export const SearchIcon = (): ReactNode => (
  <Icon>
    <circle cx="7" cy="7" r="4.2" />
    <path d="M10.2 10.2L13.5 13.5" />
  </Icon>
);
export const CommandIcon = (): ReactNode => (
  <Icon>
    <path d="M3 4.5L6.5 8 3 11.5M8 12h5" />
  </Icon>
);
export const EyeIcon = (): ReactNode => (
  <Icon>
    <path d="M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8z" />
    <circle cx="8" cy="8" r="1.8" />
  </Icon>
);
export const AuditIcon = (): ReactNode => (
  <Icon>
    <path d="M3 3.5h7M3 6.5h5M3 9.5h3.5M3 12.5h3" />
    <circle cx="10.6" cy="10.1" r="2.6" />
    <path d="M12.5 12l1.9 1.9" />
  </Icon>
);
export const PeopleIcon = (): ReactNode => (
  <Icon>
    <circle cx="6" cy="5.6" r="2.4" />
    <path d="M1.8 13c.3-2.6 2-4 4.2-4s3.9 1.4 4.2 4M10.2 3.5a2.3 2.3 0 0 1 0 4.3M11.8 9.4c1.4.5 2.2 1.7 2.4 3.6" />
  </Icon>
);
export const ShareIcon = (): ReactNode => (
  <Icon>
    <circle cx="4" cy="8" r="1.8" />
    <circle cx="11.8" cy="4" r="1.8" />
    <circle cx="11.8" cy="12" r="1.8" />
    <path d="M5.6 7.1l4.6-2.3M5.6 8.9l4.6 2.3" />
  </Icon>
);
export const SchemeIcon = ({ choice }: { choice: "auto" | "dark" | "light" }): ReactNode => (
  <Icon>
    {choice === "light" && (
      <>
        <circle cx="8" cy="8" r="3" />
        <path d="M8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1" />
      </>
    )}
    {choice === "dark" && <path d="M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z" />}
    {choice === "auto" && (
      <>
        <circle cx="8" cy="8" r="5.2" />
        <path className="filled" d="M8 2.8a5.2 5.2 0 0 1 0 10.4z" />
      </>
    )}
  </Icon>
);
/** The mark: a prompt on a wire. */
export const Mark = ({ size = 22 }: { size?: number }): ReactNode => (
  <svg className="mark" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
    <path className="mark-wire" d="M2 18.5h20" />
    <path className="mark-prompt" d="M5 5.5l5.5 4.6L5 14.7" />
    <circle className="mark-node" cx="17" cy="18.5" r="2.6" />
  </svg>
);
