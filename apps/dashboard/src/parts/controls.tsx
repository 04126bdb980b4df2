import type { ReactNode } from 'react';
import { useId } from 'react';
import {
  Button as AriaButton,
  Dialog as AriaDialog,
  type ButtonProps,
  Heading,
  Modal,
  ModalOverlay,
} from 'react-aria-components';
import { t } from '../text/index.ts';
import { allZones } from '../time/zones.ts';

const looks = {
  primary: 'bg-accent text-on-accent border-accent data-[hovered]:opacity-90',
  plain: 'bg-surface border-line data-[hovered]:bg-tint',
  quiet: 'border-transparent data-[hovered]:bg-tint',
  danger: 'bg-surface text-bad border-bad data-[hovered]:bg-bad-tint',
} as const;

export function Button({
  look = 'plain',
  small,
  className = '',
  ...rest
}: ButtonProps & { look?: keyof typeof looks; small?: boolean; className?: string }) {
  const size = small ? 'min-h-8 px-2.5 text-sm' : 'min-h-10 px-4';
  return (
    <AriaButton
      {...rest}
      className={`inline-flex cursor-pointer items-center justify-center gap-2 whitespace-nowrap rounded-lg border font-medium data-[disabled]:cursor-default data-[disabled]:opacity-50 ${size} ${looks[look]} ${className}`}
    />
  );
}

/** A label over a control, what helps below it, and what is wrong with it, told to screen readers too. */
export function Field({
  label,
  help,
  error,
  children,
  className = '',
}: {
  label: string;
  help?: string | undefined;
  error?: string | undefined;
  className?: string;
  children: (props: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode;
}) {
  const id = useId();
  const about = help || error ? { 'aria-describedby': `${id}-about` } : {};
  return (
    <div className={`min-w-0 ${className}`}>
      <label htmlFor={id} className="mb-1 block text-sm font-medium">
        {label}
      </label>
      {children({ id, ...about, ...(error ? { 'aria-invalid': true as const } : {}) })}
      {(help || error) && (
        <p id={`${id}-about`} className={`mt-1 text-sm ${error ? 'text-bad' : 'text-quiet'}`}>
          {error ?? help}
        </p>
      )}
    </div>
  );
}

type FieldProps = { label: string; help?: string | undefined; error?: string | undefined; className?: string };

export function Input({
  label,
  help,
  error,
  className,
  onText,
  ...rest
}: FieldProps & { onText?: (text: string) => void } & Omit<React.ComponentProps<'input'>, 'className'>) {
  return (
    <Field label={label} help={help} error={error} {...(className ? { className } : {})}>
      {(about) => <input {...rest} {...about} className="field" onChange={(e) => onText?.(e.target.value)} />}
    </Field>
  );
}

export function Area({
  label,
  help,
  error,
  className,
  onText,
  ...rest
}: FieldProps & { onText?: (text: string) => void } & Omit<React.ComponentProps<'textarea'>, 'className'>) {
  return (
    <Field label={label} help={help} error={error} {...(className ? { className } : {})}>
      {(about) => <textarea {...rest} {...about} className="field" onChange={(e) => onText?.(e.target.value)} />}
    </Field>
  );
}

export interface Option {
  value: string;
  text: string;
}

export function Select({
  label,
  help,
  className,
  options,
  value,
  onValue,
  ...rest
}: FieldProps & { options: readonly Option[]; value: string; onValue: (value: string) => void } & Omit<
    React.ComponentProps<'select'>,
    'className' | 'value'
  >) {
  return (
    <Field label={label} help={help} {...(className ? { className } : {})}>
      {(about) => (
        <select {...rest} {...about} className="field" value={value} onChange={(e) => onValue(e.target.value)}>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function ZoneSelect({
  value,
  onZone,
  label,
}: {
  value: string;
  onZone: (zone: string) => void;
  label?: string;
}) {
  const zones = allZones();
  const options = (zones.includes(value) ? zones : [value, ...zones]).map((zone) => ({ value: zone, text: zone }));
  return <Select label={label ?? t('Time zone')} options={options} value={value} onValue={onZone} />;
}

export function Check({ label, ...rest }: { label: string } & React.ComponentProps<'input'>) {
  return (
    <label className="flex min-h-8 items-center gap-2">
      <input type="checkbox" {...rest} className="size-4 accent-[var(--accent)]" />
      <span>{label}</span>
    </label>
  );
}

/** Choices of which one holds, as links or buttons would be, with one look. */
export function Choice<T extends string>({
  label,
  options,
  value,
  onValue,
}: {
  label: string;
  options: readonly { value: T; text: string }[];
  value: T;
  onValue: (value: T) => void;
}) {
  return (
    <fieldset className="inline-flex flex-wrap rounded-lg border border-line bg-surface p-0.5">
      <legend className="sr-only">{label}</legend>
      {options.map((option) => (
        <AriaButton
          key={option.value}
          aria-pressed={option.value === value}
          onPress={() => onValue(option.value)}
          className="min-h-8 cursor-pointer rounded-md px-3 text-sm font-medium aria-pressed:bg-accent aria-pressed:text-on-accent"
        >
          {option.text}
        </AriaButton>
      ))}
    </fieldset>
  );
}

export function Dialog({
  title,
  isOpen,
  onClose,
  children,
  wide,
}: {
  title: string;
  isOpen: boolean;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
}) {
  return (
    <ModalOverlay
      isDismissable
      isOpen={isOpen}
      onOpenChange={(open) => !open && onClose()}
      className="fixed inset-0 z-40 grid items-end justify-items-center overflow-y-auto bg-black/50 sm:place-items-center sm:p-6"
    >
      <Modal className={`box w-full bg-raised shadow-xl max-sm:rounded-b-none ${wide ? 'max-w-4xl' : 'max-w-lg'}`}>
        <AriaDialog className="p-5 outline-none">
          <div className="mb-4 flex items-start justify-between gap-4">
            <Heading slot="title" className="text-lg font-semibold">
              {title}
            </Heading>
            <Button look="quiet" small aria-label={t('Close')} onPress={onClose}>
              <span aria-hidden="true">✕</span>
            </Button>
          </div>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}
